"""The report on an output: `facts` and the figures it is made of, and `page`, which shows them to people."""
