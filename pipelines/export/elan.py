"""ELAN's annotation format (.eaf), version 3.0: http://www.mpi.nl/tools/elan/EAFv3.0.xsd."""

import mimetypes
from datetime import datetime, timezone
from urllib.parse import quote
from xml.etree import ElementTree

from pipelines.export.tiers import Interval

_SCHEMA = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
_XSI = "{http://www.w3.org/2001/XMLSchema-instance}"


def eaf(tiers: dict[str, list[Interval]], uri: str) -> bytes:
    """A document of time-aligned tiers, which names its medium by `uri`."""
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    attributes = {"AUTHOR": "FV2ES", "DATE": now, "FORMAT": "3.0", "VERSION": "3.0"}
    root = ElementTree.Element("ANNOTATION_DOCUMENT", attributes | {f"{_XSI}noNamespaceSchemaLocation": _SCHEMA})
    header = ElementTree.SubElement(root, "HEADER", {"MEDIA_FILE": "", "TIME_UNITS": "milliseconds"})
    address = uri if "://" in uri else f"file://{quote(uri, errors='surrogatepass')}"
    kind = mimetypes.guess_type(uri)[0] or "unknown"
    ElementTree.SubElement(header, "MEDIA_DESCRIPTOR", {"MEDIA_URL": address, "MIME_TYPE": kind})
    moments = sorted({at for line in tiers.values() for item in line for at in (item.start_ms, item.end_ms)})
    slots = {at: f"ts{number}" for number, at in enumerate(moments, 1)}
    order = ElementTree.SubElement(root, "TIME_ORDER")
    for at, slot in slots.items():
        ElementTree.SubElement(order, "TIME_SLOT", {"TIME_SLOT_ID": slot, "TIME_VALUE": str(at)})
    number = 0
    for name, line in tiers.items():
        tier = ElementTree.SubElement(root, "TIER", {"LINGUISTIC_TYPE_REF": "default-lt", "TIER_ID": name})
        for item in line:
            number += 1
            where = {"TIME_SLOT_REF1": slots[item.start_ms], "TIME_SLOT_REF2": slots[item.end_ms]}
            annotation = ElementTree.SubElement(tier, "ANNOTATION")
            aligned = ElementTree.SubElement(
                annotation, "ALIGNABLE_ANNOTATION", {"ANNOTATION_ID": f"a{number}"} | where
            )
            ElementTree.SubElement(aligned, "ANNOTATION_VALUE").text = item.text
    ElementTree.SubElement(
        root,
        "LINGUISTIC_TYPE",
        {"GRAPHIC_REFERENCES": "false", "LINGUISTIC_TYPE_ID": "default-lt", "TIME_ALIGNABLE": "true"},
    )
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="UTF-8", xml_declaration=True)
