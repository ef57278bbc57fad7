"""The bridge from lexical weights into the space of the vectors: fitted on a corpus, or learned as in the paper."""
