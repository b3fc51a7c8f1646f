"""What the hub says to others, as contracts that programs can read: AsyncAPI, OpenAPI, schemas.

Each is generated from the types and routes themselves, stands in `schemas/json` as a golden file,
and is shown at `/docs`.
"""
