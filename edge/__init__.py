"""The edge: sockets in front, the link to chat and unary gRPC behind. It stores nothing."""
