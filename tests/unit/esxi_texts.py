"""Tables written by the rule of the facts, as a host prints them."""

COLUMNS = ("Vmid", "Name", "File", "Guest OS", "Version", "Annotation")


def inventory_table(rows):
    """What getallvms prints for rows of six cells.

    A column is as wide as its longest cell, three blanks lie between two columns, headers are
    centred, cells stand left and are padded, the last one too (facts: 1.1).
    """
    widths = [max(map(len, column)) for column in zip(COLUMNS, *rows, strict=True)]
    lines = ["   ".join(map(_centred, COLUMNS, widths))]
    lines += ["   ".join(map(str.ljust, row, widths)) for row in rows]
    return "".join(line + "\n" for line in lines)


def _centred(header, width):
    left = (width - len(header)) // 2
    return (" " * left + header).ljust(width)


UUID = "56 4d 36 cf 69 88 c9 1d-0f 5f a6 26 28 d4 65 53"


def process_block(world_id, name, config_file, uuid=UUID):
    """One running VM as esxcli lists it (facts: 6)."""
    return (
        f"{name}\n"
        f"   World ID: {world_id}\n"
        f"   Process ID: 0\n"
        f"   VMX Cartel ID: {int(world_id) - 1}\n"
        f"   UUID: {uuid}\n"
        f"   Display Name: {name}\n"
        f"   Config File: {config_file}\n"
        "\n"
    )
