// Command linux is the built-in plugin linux: commands, scripts and facts on
// targets that are reached by SSH and have a POSIX shell.
package main

func main() {}
