// Package expr evaluates the workflow language's expressions: CEL (the Common
// Expression Language), checked against the types of what they read, with a
// bound on their cost and without a clock, so that an expression gives the same
// result whenever it is evaluated. It is the only importer of cel-go.
//
// An Env says which names there are and of what type they are. Env.Compile
// checks an expression and returns a Program; Program.Eval evaluates it over
// Vars. Values go in and come out as Value: JSON values that keep their numbers.
package expr
