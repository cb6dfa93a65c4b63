"""The wire contract's tool: generates the stubs in `gen/`, lints `proto/`, and compares it with the main branch."""
