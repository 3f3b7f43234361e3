package automation

// Codes returns every code that the host has: those of requests and definitions,
// then those of host functions. A plugin may fail with others.
func Codes() []Code {
	return []Code{
		CodeInvalid, CodeUnknownField, CodeUnknownName, CodeMissing, CodeWrongType, CodeCycle, CodeExpression, CodeLimit, CodeSyntax,
		CodeBadPlugin, CodeNotFound, CodeConflict, CodeUnauthenticated, CodeForbidden, CodePolicy, CodeUnavailable, CodeInternal,
		CodePluginFailed, CodePluginCrashed, CodeBadOutput, CodeMemoryLimit, CodeInputLimit, CodeHostCallLimit, CodeFuelLimit,
		CodeDepthLimit, CodeRemoteLimit, CodeSandboxCrashed, CodeUnknownOutcome, CodeHostLost, CodeReturned, CodeCutOff, CodeAssertion,
		CodeRejected, CodeExpired, CodeStepFailed,
		CodeDenied, CodeBadRequest, CodeUnreachable, CodeTimeout, CodeAuthFailed, CodeHostKeyMismatch, CodeHostKeyUnknown,
		CodeAlgorithmMismatch, CodeThrottled, CodeBecomeFailed, CodeQuota, CodeProtocol, CodeOutputLimit, CodeCancelled, CodeLost,
	}
}
