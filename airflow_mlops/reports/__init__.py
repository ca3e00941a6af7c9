"""What is said: pages, plots, cards and forms. Imports records, text and the specification only."""
