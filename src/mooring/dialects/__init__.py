"""How fleets speak: dialects, their topics and their payloads.

A dialect is one TOML file. From it come the subscriptions, the routing, the decoding, each
device's rights, the lists of topics and the AsyncAPI document. Everything here is pure but
for reading the files.
"""

from mooring.dialects.asyncapi import document
from mooring.dialects.capability import Capabilities, capabilities
from mooring.dialects.checking import check
from mooring.dialects.device_shape import device_shape
from mooring.dialects.ids import MAX_WORD_BYTES, check_text, check_word, normal_mac
from mooring.dialects.load import Catalogue, builtin, load_all, load_file
from mooring.dialects.match import Match, Router
from mooring.dialects.meaning import (
    Scalar,
    firmware,
    flatten,
    identifier,
    metadata,
    name,
    online,
    online_text,
    online_word,
    outcome,
    readings,
    reply_to,
)
from mooring.dialects.mistakes import Mistake
from mooring.dialects.model import (
    Attribute,
    Channel,
    Dialect,
    Direction,
    DoneWhen,
    Format,
    Identity,
    Kind,
    Path,
    PayloadShape,
    TimeFormat,
    TimeNumbers,
)
from mooring.dialects.outgoing import compose
from mooring.dialects.payload import (
    BadPayload,
    Decoded,
    Decoder,
    PayloadLimits,
    Reason,
    TimeSource,
    compile_decoder,
)
from mooring.dialects.times import iso, parse_time
from mooring.dialects.topics import (
    filters_overlap,
    topic_matches,
    valid_filter,
    valid_topic_name,
)

__all__ = [
    "MAX_WORD_BYTES",
    "Attribute",
    "BadPayload",
    "Capabilities",
    "Catalogue",
    "Channel",
    "Decoded",
    "Decoder",
    "Dialect",
    "Direction",
    "DoneWhen",
    "Format",
    "Identity",
    "Kind",
    "Match",
    "Mistake",
    "Path",
    "PayloadLimits",
    "PayloadShape",
    "Reason",
    "Router",
    "Scalar",
    "TimeFormat",
    "TimeNumbers",
    "TimeSource",
    "builtin",
    "capabilities",
    "check",
    "check_text",
    "check_word",
    "compile_decoder",
    "compose",
    "device_shape",
    "document",
    "filters_overlap",
    "firmware",
    "flatten",
    "identifier",
    "iso",
    "load_all",
    "load_file",
    "metadata",
    "name",
    "normal_mac",
    "online",
    "online_text",
    "online_word",
    "outcome",
    "parse_time",
    "readings",
    "reply_to",
    "topic_matches",
    "valid_filter",
    "valid_topic_name",
]
