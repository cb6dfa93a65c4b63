"""What the user service does, told in the words of its domain; no gRPC, no SQL."""
