package org.moe4j.engine.offload;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/** Reads through the system's file cache, or past it where the file system can. */
enum ChannelDisk implements Disk {
  CACHED,
  /** What is read does not take memory a second time, and drives nothing out of the cache. */
  DIRECT;

  private record Channel(FileChannel channel, int alignment) implements Source {
    @Override
    public int read(ByteBuffer to, long position) throws IOException {
      return channel.read(to, position);
    }

    @Override
    public void close() {
      try {
        channel.close();
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
  }

  @Override
  public Source open(Path file) throws IOException {
    if (this == DIRECT) {
      try {
        OpenOption direct = direct();
        int block = Math.toIntExact(Files.getFileStore(file).getBlockSize());
        return new Channel(FileChannel.open(file, StandardOpenOption.READ, direct), block);
      } catch (IOException | UnsupportedOperationException | ArithmeticException e) {
        return CACHED.open(file);
      }
    }
    return new Channel(FileChannel.open(file, StandardOpenOption.READ), 1);
  }

  /** Its name alone, as the compiler refuses the class. */
  private static OpenOption direct() {
    try {
      Object[] all = Class.forName("com.sun.nio.file.ExtendedOpenOption").getEnumConstants();
      for (Object option : all) {
        if (option instanceof OpenOption o && o.toString().equals("DIRECT")) {
          return o;
        }
      }
    } catch (ClassNotFoundException e) {
      throw new UnsupportedOperationException("no reads past the system's cache", e);
    }
    throw new UnsupportedOperationException("no reads past the system's cache");
  }
}
