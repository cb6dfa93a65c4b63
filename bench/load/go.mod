module polychat/bench/load

go 1.22
