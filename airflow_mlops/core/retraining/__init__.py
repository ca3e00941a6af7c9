"""The eighth stage: signals become one decision."""
