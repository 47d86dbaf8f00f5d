"""What the sandbox image is built from: a Dockerfile and `agent/`, the program that is PID 1 in every sandbox."""
