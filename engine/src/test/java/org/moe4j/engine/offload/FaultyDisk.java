package org.moe4j.engine.offload;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicInteger;

/** A disk whose reads are counted, fail, come in small pieces, or wait to be let through. */
final class FaultyDisk implements Disk {
  final AtomicInteger reads = new AtomicInteger();
  final Semaphore allowed = new Semaphore(Integer.MAX_VALUE);
  volatile int failing = -1;
  volatile int most = Integer.MAX_VALUE;

  @Override
  public Source open(Path file) throws IOException {
    Source real = ChannelDisk.CACHED.open(file);
    return new Source() {
      @Override
      public int read(ByteBuffer to, long position) throws IOException {
        allowed.acquireUninterruptibly();
        if (reads.getAndIncrement() == failing) {
          throw new IOException("Input/output error");
        }
        ByteBuffer some = to.duplicate();
        some.limit(
            Math.min(to.limit(), (int) Math.min(Integer.MAX_VALUE, to.position() + (long) most)));
        int got = real.read(some, position);
        to.position(some.position());
        return got;
      }

      @Override
      public void close() {
        real.close();
      }
    };
  }
}
