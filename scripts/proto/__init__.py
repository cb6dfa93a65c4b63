"""The wire contract's tool: makes the stubs in `gen/`, lints `proto/`, compares it with the main branch."""
