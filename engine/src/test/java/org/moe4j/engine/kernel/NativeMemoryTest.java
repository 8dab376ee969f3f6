package org.moe4j.engine.kernel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

class NativeMemoryTest {
  private static final Pattern RANGE = Pattern.compile("^([0-9a-f]+)-([0-9a-f]+) ");
  private static final int[] SIZES = {1, 64, 65, 100_000, 3 << 20, 17 << 20, 70 << 20};

  @Test
  void piecesAreZeroApartAndOnLinesOfTheCache() {
    try (Arena arena = Arena.ofConfined()) {
      NativeMemory memory = new NativeMemory(arena);
      List<MemorySegment> pieces = new ArrayList<>();
      for (int round = 0; round < 3; round++) {
        for (int size : SIZES) {
          MemorySegment piece = memory.allocate(size, 64);
          assertThat(piece.byteSize()).isEqualTo(size);
          assertThat(piece.address() % 64).isZero();
          assertThat(piece.get(ValueLayout.JAVA_BYTE, 0)).isZero();
          assertThat(piece.get(ValueLayout.JAVA_BYTE, size - 1)).isZero();
          piece.set(ValueLayout.JAVA_BYTE, 0, (byte) 1);
          piece.set(ValueLayout.JAVA_BYTE, size - 1, (byte) 1);
          assertThat(pieces).allMatch(other -> other.asOverlappingSlice(piece).isEmpty());
          pieces.add(piece);
        }
      }
    }
  }

  @Test
  void memoryEndsWithItsArena() {
    MemorySegment piece;
    try (Arena arena = Arena.ofShared()) {
      piece = new NativeMemory(arena).allocate(1000, 64);
    }
    assertThat(piece.scope().isAlive()).isFalse();
  }

  @Test
  void linuxIsAskedForHugePages() throws IOException {
    Path smaps = Path.of("/proc/self/smaps");
    assumeThat(smaps).isReadable();
    assumeThat(Path.of("/sys/kernel/mm/transparent_hugepage/enabled")).isReadable();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment piece = new NativeMemory(arena).allocate(1000, 64);
      assertThat(piece.address() % (2 << 20)).isZero();
      List<String> lines = Files.readAllLines(smaps);
      int at = 0;
      while (!holds(lines.get(at), piece.address())) {
        at++;
      }
      while (!lines.get(at).startsWith("VmFlags:")) {
        at++;
      }
      assertThat(lines.get(at)).contains(" hg");
    }
  }

  /** Whether a line begins the description of the pages that an address is among. */
  private static boolean holds(String line, long address) {
    Matcher range = RANGE.matcher(line);
    return range.find()
        && Long.compareUnsigned(Long.parseUnsignedLong(range.group(1), 16), address) <= 0
        && Long.compareUnsigned(address, Long.parseUnsignedLong(range.group(2), 16)) < 0;
  }
}
