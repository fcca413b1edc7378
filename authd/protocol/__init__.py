"""The authdaemond wire protocol, sans-IO: bytes in, a request out; an account in, bytes out."""
