"""Same individual or not: pairs mined without labels, embedders, projections and heads trained on them, and judged."""
