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
import org.junit.jupiter.api.Test;
import org.moe4j.engine.machine.HugePages;

class SlabsTest {
  private static final int[] SIZES = {1, 64, 65, 100_000, 3 << 20, 17 << 20, 40 << 20};

  @Test
  void piecesAreZeroApartAndOnLinesOfTheCache() {
    try (Arena arena = Arena.ofConfined()) {
      Slabs slabs = new Slabs(arena);
      List<MemorySegment> pieces = new ArrayList<>();
      for (int round = 0; round < 3; round++) {
        for (int size : SIZES) {
          MemorySegment piece = slabs.allocate(size);
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
      piece = new Slabs(arena).allocate(1000);
    }
    assertThat(piece.scope().isAlive()).isFalse();
  }

  @Test
  void linuxIsAskedForHugePages() throws IOException {
    Path smaps = Path.of("/proc/self/smaps");
    Path enabled = Path.of("/sys/kernel/mm/transparent_hugepage/enabled");
    assumeThat(smaps).isReadable();
    assumeThat(enabled).isReadable();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment piece = HugePages.allocate(arena, 3 * HugePages.SIZE);
      assertThat(piece.address() % HugePages.SIZE).isZero();
      String start = Long.toHexString(piece.address()) + "-";
      String flags = "";
      boolean here = false;
      for (String line : Files.readAllLines(smaps)) {
        if (line.startsWith(start)) {
          here = true;
        } else if (here && line.startsWith("VmFlags:")) {
          flags = line;
          break;
        }
      }
      assertThat(flags).contains(" hg");
    }
  }
}
