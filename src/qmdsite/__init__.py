"""A small renderer of Quarto websites that needs no Quarto."""
