"""Bearer tokens of those who read streams: made, limited, counted, revoked; reads are audited."""
