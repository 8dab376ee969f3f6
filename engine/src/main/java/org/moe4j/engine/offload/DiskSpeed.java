package org.moe4j.engine.offload;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.SplittableRandom;
import org.moe4j.engine.EngineException;

/** How fast a disk is when experts are read from it. */
public final class DiskSpeed {
  private static final int READ = 1 << 20;

  private DiskSpeed() {}

  /**
   * Bytes a second of reads at drawn places of {@code file}, past the system's file cache where
   * that can be done.
   *
   * @param nanos how long to measure, but for the last read
   */
  public static double measure(Path file, long nanos) {
    try (Disk.Source source = ChannelDisk.DIRECT.open(file);
        Arena arena = Arena.ofConfined()) {
      long blocks = Math.max(1, (Files.size(file) - READ) / source.alignment());
      ByteBuffer to = arena.allocate(READ, source.alignment()).asByteBuffer();
      SplittableRandom random = new SplittableRandom(1);
      long bytes = 0;
      long start = System.nanoTime();
      long end = start;
      while (end - start < nanos) {
        long got = source.read(to.clear(), random.nextLong(blocks) * source.alignment());
        if (got <= 0) {
          break;
        }
        bytes += got;
        end = System.nanoTime();
      }
      return bytes * 1e9 / Math.max(1, end - start);
    } catch (IOException e) {
      throw new EngineException(file + ": cannot be read: " + e.getMessage(), e);
    }
  }
}
