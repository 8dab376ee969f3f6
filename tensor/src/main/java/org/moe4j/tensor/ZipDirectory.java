package org.moe4j.tensor;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Where the entries of a zip file lie, for files whose entries are stored as they are. Nothing is
 * unpacked: compressed and encrypted entries are refused, so that an entry never has more bytes
 * than the file. Structure: PKWARE's APPNOTE 6.3, section 4.3, with the 64-bit fields of 4.5.3.
 *
 * @param entries by name, in the order of their bytes in the file
 */
record ZipDirectory(Map<String, Entry> entries) {
  private static final int LOCAL = 0x04034b50;
  private static final int CENTRAL = 0x02014b50;
  private static final int END = 0x06054b50;
  private static final int END_64 = 0x06064b50;
  private static final int LOCATOR_64 = 0x07064b50;

  private static final int LOCAL_BYTES = 30;
  private static final int CENTRAL_BYTES = 46;
  private static final int END_BYTES = 22;
  private static final int END_64_BYTES = 56;
  private static final int LOCATOR_BYTES = 20;
  private static final int LONGEST_COMMENT = 0xffff;

  /** Half a million storages, far over what one file of a checkpoint holds. */
  private static final long LONGEST = 1 << 26;

  private static final long IN_EXTRA = 0xffffffffL;
  private static final int ENCRYPTED = 1;

  /** The bytes of an entry: {@code start} counts from the start of the file. */
  record Entry(String name, long start, long size) {}

  /** An entry as the directory tells it; {@code header} is where its local header starts. */
  private record Listed(String name, long header, long size) {}

  private record Place(long entries, long start, long size) {}

  /**
   * Reads and checks the directory.
   *
   * @throws MoeException if it is damaged, or an entry is not stored plainly or lies elsewhere
   */
  static ZipDirectory read(MappedFile file) {
    return new Reader(file).read();
  }

  private static final class Reader {
    private final MappedFile file;

    Reader(MappedFile file) {
      this.file = file;
    }

    ZipDirectory read() {
      Place place = place();
      List<Listed> listed = new ArrayList<>();
      ByteBuffer in = file.bytes(place.start(), (int) place.size());
      while (in.hasRemaining()) {
        listed.add(listed(in));
      }
      if (listed.size() != place.entries()) {
        throw failure(
            "its directory has "
                + listed.size()
                + " entries, not the "
                + place.entries()
                + " told");
      }
      listed.sort(Comparator.comparingLong(Listed::header));
      Map<String, Entry> entries = new LinkedHashMap<>();
      for (int i = 0; i < listed.size(); i++) {
        boolean last = i + 1 == listed.size();
        Entry e = entry(listed.get(i), last ? place.start() : listed.get(i + 1).header());
        if (entries.put(e.name(), e) != null) {
          throw failure("two entries have the name " + Names.shown(e.name()));
        }
      }
      return new ZipDirectory(entries);
    }

    private Place place() {
      long at = end();
      ByteBuffer end = file.bytes(at, END_BYTES);
      Place place = new Place(u16(end, 10), u32(end, 16), u32(end, 12));
      boolean oneDisk = end.getShort(4) == 0 && end.getShort(6) == 0;
      if (at >= LOCATOR_BYTES) {
        ByteBuffer locator = file.bytes(at - LOCATOR_BYTES, LOCATOR_BYTES);
        if (locator.getInt(0) == LOCATOR_64) {
          at = locator.getLong(8);
          if (at < 0 || at > file.size() - END_64_BYTES) {
            throw failure("its 64-bit directory's end is said to be at byte " + at);
          }
          ByteBuffer wide = file.bytes(at, END_64_BYTES);
          if (wide.getInt(0) != END_64) {
            throw failure("there is no 64-bit directory's end at byte " + at);
          }
          place = new Place(wide.getLong(32), wide.getLong(48), wide.getLong(40));
        }
      }
      if (!oneDisk) {
        throw failure("it is one of several zip volumes");
      }
      if (place.start() < 0 || place.size() < 0 || place.start() > at - place.size()) {
        throw failure(
            "its directory of "
                + place.size()
                + " bytes at byte "
                + place.start()
                + " is not there");
      }
      if (place.size() > LONGEST) {
        throw failure("its directory has " + place.size() + " bytes, over the limit of " + LONGEST);
      }
      return place;
    }

    /** Where the end record starts; it is followed by nothing but its own comment. */
    private long end() {
      int tail = (int) Math.min(file.size(), END_BYTES + LONGEST_COMMENT);
      ByteBuffer in = file.bytes(file.size() - tail, tail);
      for (int i = tail - END_BYTES; i >= 0; i--) {
        if (in.getInt(i) == END && u16(in, i + 20) == tail - END_BYTES - i) {
          return file.size() - tail + i;
        }
      }
      throw failure("the end of its directory is missing; the file is cut");
    }

    private Listed listed(ByteBuffer in) {
      int at = in.position();
      if (in.remaining() < CENTRAL_BYTES || in.getInt(at) != CENTRAL) {
        throw failure("its directory is damaged");
      }
      int nameBytes = u16(in, at + 28);
      int extraBytes = u16(in, at + 30);
      int all = CENTRAL_BYTES + nameBytes + extraBytes + u16(in, at + 32);
      if (all > in.remaining()) {
        throw failure("its directory is damaged");
      }
      String name = name(in, at + CENTRAL_BYTES, nameBytes);
      long[] sizes = {u32(in, at + 24), u32(in, at + 20), u32(in, at + 42)};
      readExtra(in.slice(at + CENTRAL_BYTES + nameBytes, extraBytes).order(in.order()), sizes);
      in.position(at + all);
      boolean plain = in.getShort(at + 10) == 0 && (in.getShort(at + 8) & ENCRYPTED) == 0;
      if (!plain || sizes[0] != sizes[1]) {
        throw failure(
            "entry "
                + Names.shown(name)
                + " is compressed or encrypted; torch stores them plainly");
      }
      return new Listed(name, sizes[2], sizes[0]);
    }

    /** The values that do not fit into 32 bits stand in field 1, those alone and in this order. */
    private void readExtra(ByteBuffer extra, long[] sizes) {
      while (extra.remaining() >= 4) {
        int id = Short.toUnsignedInt(extra.getShort());
        int bytes = Short.toUnsignedInt(extra.getShort());
        if (bytes > extra.remaining()) {
          return;
        }
        int next = extra.position() + bytes;
        for (int i = 0; id == 1 && i < sizes.length; i++) {
          if (sizes[i] == IN_EXTRA && next - extra.position() >= 8) {
            sizes[i] = extra.getLong();
          }
        }
        extra.position(next);
      }
    }

    /** Finds an entry's bytes, which must end at {@code limit}, where something else starts. */
    private Entry entry(Listed e, long limit) {
      String what = "entry " + Names.shown(e.name());
      if (e.header() < 0 || e.size() < 0 || e.header() > limit - LOCAL_BYTES) {
        throw failure(what + " is not where the directory says, or overlaps another");
      }
      ByteBuffer local = file.bytes(e.header(), LOCAL_BYTES);
      int nameBytes = u16(local, 26);
      long start = e.header() + LOCAL_BYTES + nameBytes + u16(local, 28);
      if (local.getInt(0) != LOCAL || local.getShort(8) != 0 || start > limit) {
        throw failure(what + " is not where the directory says, or overlaps another");
      }
      if (!name(file.bytes(e.header() + LOCAL_BYTES, nameBytes), 0, nameBytes).equals(e.name())) {
        throw failure(what + " has another name in the directory than at its place");
      }
      if (e.size() > limit - start) {
        throw failure(
            what
                + " of "
                + e.size()
                + " bytes at byte "
                + start
                + " goes past its end at "
                + limit);
      }
      return new Entry(e.name(), start, e.size());
    }

    private static String name(ByteBuffer in, int at, int bytes) {
      return new String(in.array(), in.arrayOffset() + at, bytes, StandardCharsets.UTF_8);
    }

    private static int u16(ByteBuffer in, int at) {
      return Short.toUnsignedInt(in.getShort(at));
    }

    private static long u32(ByteBuffer in, int at) {
      return Integer.toUnsignedLong(in.getInt(at));
    }

    private MoeException failure(String problem) {
      return new MoeException(file.path() + ": not a sound torch file: " + problem);
    }
  }
}
