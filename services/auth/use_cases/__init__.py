"""What auth does, told in the words of its domain; no gRPC, no SQL."""
