"""Pictures of published figures: curve, age heat map, department map. docs/plots.md."""
