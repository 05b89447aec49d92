"""What convolution filters learned: motifs, matches, baselines, pages."""
