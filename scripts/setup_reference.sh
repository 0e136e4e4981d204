#!/bin/sh
# Makes the Python environment that the scripts beside this file run in, with the versions that
# made the files in testdata.
#
#   scripts/setup_reference.sh [DIRECTORY]     default: .venv-reference
set -eu

directory=${1:-.venv-reference}

python3 -m venv "$directory"
"$directory/bin/python" -m pip install --quiet --upgrade pip
"$directory/bin/python" -m pip install --quiet \
    torch==2.15.0 \
    transformers==5.23.0 \
    tokenizers==0.23.3 \
    safetensors==0.8.0 \
    numpy==2.4.6 \
    ir_measures==0.4.3 \
    pytrec_eval-terrier==0.5.11 \
    cwl-eval==1.0.12 \
    scipy==1.17.1

echo "ready: $directory/bin/python scripts/reference_logits.py --help"
