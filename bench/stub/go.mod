module penstock/bench/stub

go 1.22
