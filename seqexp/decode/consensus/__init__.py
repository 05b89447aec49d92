"""Consensus of erroneous reads by a pair-HMM."""
