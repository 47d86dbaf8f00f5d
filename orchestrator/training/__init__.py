"""What is recorded becomes training data and rewards."""
