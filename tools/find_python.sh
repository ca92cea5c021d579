# Prints the first interpreter on the PATH that ascribe runs on, or python3 for the error message to name.
for name in python3 python3.14 python3.13 python3.12 python3.11; do
    if "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null; then
        echo "$name"
        exit 0
    fi
done
echo python3
