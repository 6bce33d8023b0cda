#!/usr/bin/env bash
# DVC's model registry keeps versions of artifacts as git tags, `net@v1.0.0`. A tag that `git tag net@v1.0.0` makes, or a
# release page of a hosting site, is a lightweight one: `dvc artifacts get` does not see it and says that there is no such
# artifact. With the same name as an annotated tag, `git tag -a`, it is found. `dvc get --rev` takes either.
#
# Seen on 2026-11-28 with dvc 3.67.1, gto 1.10.1, git 2.39.5:
#   lightweight tag: exit code 1, "Unable to find artifact 'net'"; annotated tag: exit code 0, the file
#
# What this project does: the page on sharing makes its tags with `-a`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install -q --disable-pip-version-check dvc==3.67.1 gto==1.10.1
export PATH="$folder/venv/bin:$PATH" GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@a GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@a

git init -q example
cd example
dvc init -q
dvc config core.analytics false
echo weights > net.bin
dvc add -q net.bin
printf 'artifacts:\n  net:\n    path: net.bin\n    type: model\n' > dvc.yaml
git add .
git commit -qm model

codes=()
for kind in lightweight annotated; do
	if [ $kind = annotated ]; then git tag -a net@v1.0.0 -m net; else git tag net@v1.0.0; fi
	code=0
	dvc artifacts get . net -o "../$kind.bin" > ../log.txt 2>&1 || code=$?
	[ "$code" = 0 ] || grep -q "Unable to find artifact 'net'" ../log.txt
	dvc get -q . net.bin --rev net@v1.0.0 -o "../$kind-by-revision.bin"
	cmp -s net.bin "../$kind-by-revision.bin"
	git tag -d net@v1.0.0 > /dev/null
	codes+=("$code")
done
cmp -s net.bin ../annotated.bin
echo "versions: $(python -c 'import dvc; print("dvc", dvc.__version__)'), $(python -m pip list 2>/dev/null | grep -i gto | xargs), $(git --version)"
echo "expected: a version is found by the name of its tag, whichever kind of tag it is"
echo "seen:     exit code ${codes[0]} with a lightweight tag, ${codes[1]} with an annotated one"
if [ "${codes[*]}" != "1 0" ]; then
	echo "changed: DVC treats the two kinds of tags otherwise" >&2
	exit 1
fi
echo "as recorded"
