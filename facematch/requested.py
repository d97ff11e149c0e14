"""What `python -m worker look` says of a file, a line each: for `facematch quality`."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass

from facematch.faces import Box, Face, pack_encodings, unpack_encodings


@dataclass(frozen=True, eq=False)
class Answer:
    """The size of a picture in pixels and its faces; or the `code` that says why it has none."""

    path: str
    width: int = 0
    height: int = 0
    faces: Sequence[Face] = ()
    code: str = ""

    def line(self) -> str:
        """As it is written."""
        faces = [
            {
                "box": [face.box.top, face.box.right, face.box.bottom, face.box.left],
                "encoding": base64.b64encode(pack_encodings(face.encoding)).decode(),
            }
            for face in self.faces
        ]
        size = {"width": self.width, "height": self.height}
        return json.dumps({"path": self.path, **size, "faces": faces, "code": self.code})

    @classmethod
    def of(cls, line: str) -> "Answer":
        """The inverse of `line`. Raises ValueError, KeyError and TypeError for what it is not."""
        said = json.loads(line)
        faces = [
            Face(Box(*face["box"]), unpack_encodings(base64.b64decode(face["encoding"]))[0])
            for face in said["faces"]
        ]
        return cls(said["path"], said["width"], said["height"], faces, said["code"])

    def central(self) -> Face | None:
        """The face nearest to the middle: of a portrait the person's."""

        def off_centre(face: Face) -> float:
            across = face.box.left + face.box.right - self.width
            down = face.box.top + face.box.bottom - self.height
            return float(across**2 + down**2)

        return min(self.faces, key=off_centre) if self.faces else None
