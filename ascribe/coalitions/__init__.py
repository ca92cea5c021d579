"""Over which subsets of features: coalitions, and what is estimated from their worth."""
