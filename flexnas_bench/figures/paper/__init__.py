"""The paper's figures and tables, again, from what is shipped: drawn, never computed."""
