#!/usr/bin/env bash
# Checks inputs and outputs in stores against a published server of S3, moto: what is read and written there must have the bytes of local
# runs. For Google Cloud Storage and Azure, PyPI offers no server with the interface that is used here, and they are not checked.
#
#   scripts/check_stores.sh [BINARY]       the default is target/release/rerank; the server is installed in target/stores-venv
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
binary=$(realpath "${1:-$root/target/release/rerank}")
venv=$root/target/stores-venv
[ -x "$venv/bin/moto_server" ] || {
    "${PYTHON:-python3}" -m venv "$venv"
    "$venv/bin/pip" install --quiet "moto[server]==5.2.5"
}
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$folder"' EXIT
cd "$folder"
export XDG_CACHE_HOME=$folder/cache NO_PROXY=127.0.0.1,localhost
rerank() { "$binary" "$@"; }
passed() { echo "passed: $*"; }

# An input of 30,000 pairs, as text, compressed, as Parquet and in files, and one whose output is sent in parts.
python3 - <<'PYTHON'
import json, os
lines = []
for query in range(300):
    candidates = [{"id": f"d{number}", "text": f"planet {query * number % 97} is red " * 20} for number in range(100)]
    lines.append(json.dumps({"query_id": f"q{query}", "query": "red planet 7", "candidates": candidates}) + "\n")
open("in.jsonl", "w").writelines(lines)
os.mkdir("dir")
for part in range(5):
    open(f"dir/{part}.jsonl", "w").writelines(lines[part * 60 : part * 60 + 60])
open("large.jsonl", "w").writelines(line.replace('"q', f'"{copy}-q', 1) for copy in range(4) for line in lines)
PYTHON
packed=in.jsonl.gz
gzip --keep in.jsonl
run() { rerank --model fake --quiet "$@"; }
run in.jsonl -o in.parquet
run in.jsonl -o single.jsonl
run in.parquet -o of_parquet.jsonl
run large.jsonl -o large.out.jsonl

# Everything once in a bucket at $1, whose objects are put and got by the functions `put` and `get`.
check() {
    local bucket=$1 file
    for file in in.jsonl "$packed" in.parquet dir/{0..4}.jsonl; do put "$file"; done
    for file in in.jsonl "$packed" dir/ 'dir/[0-4].jsonl'; do
        run "$bucket/$file" | cmp - single.jsonl
    done
    run "$bucket/in.parquet" | cmp - of_parquet.jsonl
    passed "$bucket: text, compressed text, Parquet, a prefix and a pattern are read as local files"
    run in.jsonl -o "$bucket/out.jsonl"
    get out.jsonl | cmp - single.jsonl
    ! run in.jsonl -o "$bucket/out.jsonl" 2>refused.txt
    grep -q 'exists already' refused.txt
    run in.jsonl -o "$bucket/out.jsonl" --resume
    run in.jsonl -o "$bucket/out.jsonl" --overwrite
    run large.jsonl -o "$bucket/large.out.jsonl"
    get large.out.jsonl | cmp - large.out.jsonl
    passed "$bucket: outputs, of which one is sent in parts, have the bytes of local ones"
    for shard in 0 1 2; do run "$bucket/in.jsonl" -o "$bucket/parts/" --shard $shard/3; done
    run "$bucket/in.jsonl" -o "$bucket/parts/" --shard 1/3 &
    run "$bucket/in.jsonl" -o "$bucket/parts/" --shard 1/3 --staging other
    wait $!
    rerank status "$bucket/parts" >/dev/null
    rerank merge "$bucket/parts" -o merged.jsonl --overwrite 2>/dev/null
    cmp merged.jsonl single.jsonl
    run "$bucket/dir/" -o "$bucket/files/" --shard 0/2 & first=$!
    run "$bucket/dir/" -o "$bucket/files/" --shard 1/2
    wait $first
    rerank merge "$bucket/files" -o merged.jsonl --overwrite 2>/dev/null
    cmp merged.jsonl single.jsonl
    # Two workers at once on one shard that nobody has done.
    run "$bucket/in.jsonl" -o "$bucket/race/" --shard 0/1 --staging one & first=$!
    run "$bucket/in.jsonl" -o "$bucket/race/" --shard 0/1 --staging two
    wait $first
    rerank merge "$bucket/race" -o merged.jsonl --overwrite 2>/dev/null
    cmp merged.jsonl single.jsonl
    passed "$bucket: shards merge to the bytes of a single run, also with two workers on one"
    ! run "$bucket/none.jsonl" 2>missing.txt
    grep -q 'there is no such object' missing.txt
    ! run "${bucket/lab/none}/none.jsonl" 2>missing.txt
    grep -q 'check its name' missing.txt
    passed "$bucket: what is missing is refused by name"
}

# Waits until a server answers.
await() { for _ in $(seq 100); do "$venv/bin/python" -c "import socket; socket.create_connection(('127.0.0.1', $1), 1)" 2>/dev/null && return; sleep 0.1; done; exit 1; }

"$venv/bin/moto_server" -H 127.0.0.1 -p 5917 >moto.log 2>&1 & server=$!
await 5917
export AWS_ENDPOINT_URL=http://127.0.0.1:5917 AWS_ALLOW_HTTP=true AWS_ACCESS_KEY_ID=key AWS_SECRET_ACCESS_KEY=secret AWS_REGION=us-east-1
s3() { "$venv/bin/python" -c "import boto3, sys; s3 = boto3.client('s3', endpoint_url='$AWS_ENDPOINT_URL'); $1" "${@:2}"; }
s3 "s3.create_bucket(Bucket='lab')"
put() { s3 "s3.upload_file(sys.argv[1], 'lab', sys.argv[1])" "$1"; }
get() { s3 "s3.download_fileobj('lab', sys.argv[1], sys.stdout.buffer)" "$1"; }
check s3://lab
