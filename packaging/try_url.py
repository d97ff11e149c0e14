"""`make try`: submits one URL to a running service and prints what it answers."""

import json
import sys
import urllib.error
import urllib.request


def main(server: str, url: str) -> int:
    """The exit code: 0 for an answer of success."""
    request = urllib.request.Request(  # noqa: S310
        f"{server}/scan/url",
        data=json.dumps({"url": url}).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
            status, body = response.status, response.read()
    except urllib.error.HTTPError as error:
        status, body = error.code, error.read()
    except OSError as error:
        sys.stderr.write(f"no answer from {server}: {getattr(error, 'reason', error)}\n")
        return 1
    try:
        text = json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except ValueError:
        text = body.decode(errors="replace")
    sys.stdout.write(f"POST {server}/scan/url: {status}\n{text}\n")
    return 0 if status < 400 else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
