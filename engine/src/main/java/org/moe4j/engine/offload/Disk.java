package org.moe4j.engine.offload;

import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;

/** Opens files for reads at any position by several threads at once. */
@FunctionalInterface
interface Disk {
  /** Begins to read {@code file}. */
  Source open(Path file) throws IOException;

  /** An open file. */
  interface Source extends Closeable {
    /**
     * Reads into what is left of {@code to}.
     *
     * @return how many bytes, -1 at the end of the file
     */
    int read(ByteBuffer to, long position) throws IOException;

    /** Positions, sizes and addresses of reads must be multiples of it. */
    default int alignment() {
      return 1;
    }

    @Override
    default void close() {}
  }
}
