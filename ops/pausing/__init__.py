"""What a person tells to wait: a stream, a laboratory, a receiver; and how long it has waited."""
