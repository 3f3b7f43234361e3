// Command network is the built-in plugin network: the command lines of network
// devices, over interactive sessions of SSH. It shows what they say, sends them lines
// of configuration, and reads what they say of themselves.
package main

func main() {}
