# Loads three shared libraries and calls into them; variables: text, scratch. Ends with exit code 4.
@load "ordchr"
@load "rwarray"
@load "fnmatch"

BEGIN {
    for (i = 33; i < 127; i++) printable = printable chr(i)
    print printable
    for (i = 1; i <= length(printable); i++) sum += ord(substr(printable, i))
    print sum
    while ((getline line < text) > 0) {
        n = split(line, words, /[^a-z]+/)
        for (i = 1; i <= n; i++) count[words[i]]++
    }
    print length(count)
    writea(scratch, count)
    delete count
    reada(scratch, count)
    print fnmatch("*flight*", "a flightrec", 0)
    print length(count), count["the"]
    exit 4
}
