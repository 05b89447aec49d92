"""Class probabilities of each record of a file, by a model that was trained.

python -m seqexp.predict run=RUN input=FILE [output=TABLE.csv] [KEY=VALUE ...]

  run            id of a run in MLflow, its first few letters, or latest (the newest that finished)
  input          a file, gzipped or not, or - for standard input: FASTA and FASTQ for DNA, tables
                 (.csv, .tsv, .jsonl), or a text a line
  output         a CSV file; without it, the table is printed
  format         auto (by the file's name and first letter), fasta, fastq, csv, tsv, jsonl or lines
  column         of a table, with the texts; by default that of the training, or sequence or text;
                 a column id or name has the names, else rows are numbered
  batch_size     records that go through the model together; 256
  trusted        your packages whose classes a stored model may name, with commas; none

  tracking.uri, paths.outputs    where runs are kept, as for python -m seqexp

Files of any size are read as they come, and results are written as they come. Of a model that
predicts the next symbol, the table has the probability of each symbol after the text.

  python -m seqexp.predict run=latest input=peaks.fa.gz output=peaks.csv
  zcat reads.fastq.gz | python -m seqexp.predict run=3f9c input=- | head
"""

import sys

from seqexp.cli.subcommand import run_command

if __name__ == "__main__":
    sys.exit(run_command(__doc__, "seqexp.cli.predict.predict"))
