"""What every recorded job shares: record and resume, the correcting loop, classification of failures."""
