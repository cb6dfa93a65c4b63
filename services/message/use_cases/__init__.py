"""What the service does, without knowing gRPC, Kafka or a database."""
