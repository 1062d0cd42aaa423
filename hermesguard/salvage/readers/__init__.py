"""One reader for each kind of trace. None of them writes to, or opens for writing, anything under the home of hermes-agent."""
