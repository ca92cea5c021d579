"""How each captum method is computed with ascribe: one function of a translated call for each method."""
