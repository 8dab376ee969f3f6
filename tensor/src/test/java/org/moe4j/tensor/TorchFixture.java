package org.moe4j.tensor;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;

/** What torch_fixture.py wrote, and files with pickles of any content. */
final class TorchFixture {
  private TorchFixture() {}

  static Path file(String name) throws URISyntaxException {
    return Path.of(TorchFixture.class.getResource("/torch/" + name).toURI());
  }

  /** A zip file that is built entry by entry. */
  static final class Zip {
    private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    private final ZipOutputStream zip = new ZipOutputStream(bytes);

    Zip stored(String name, byte[] content) throws IOException {
      ZipEntry entry = new ZipEntry(name);
      entry.setMethod(ZipEntry.STORED);
      entry.setSize(content.length);
      CRC32 crc = new CRC32();
      crc.update(content);
      entry.setCrc(crc.getValue());
      zip.putNextEntry(entry);
      zip.write(content);
      return this;
    }

    Zip compressed(String name, byte[] content) throws IOException {
      zip.putNextEntry(new ZipEntry(name));
      zip.write(content);
      return this;
    }

    byte[] bytes() throws IOException {
      zip.close();
      return bytes.toByteArray();
    }

    Path write(Path file) throws IOException {
      return Files.write(file, bytes());
    }
  }

  /** A file with this pickle and one storage, {@code 0}, of this many bytes. */
  static Path file(Path file, Pickle pickle, int storageBytes) throws IOException {
    return new Zip()
        .stored("x/data.pkl", pickle.bytes())
        .stored("x/data/0", new byte[storageBytes])
        .write(file);
  }

  /** A pickle that is written opcode by opcode. */
  static final class Pickle {
    private final ByteArrayOutputStream out = new ByteArrayOutputStream();

    Pickle() {
      op(0x80, 2);
    }

    Pickle op(int... bytes) {
      for (int b : bytes) {
        out.write(b);
      }
      return this;
    }

    Pickle ops(String ascii) {
      out.writeBytes(ascii.getBytes(StandardCharsets.ISO_8859_1));
      return this;
    }

    Pickle global(String module, String name) {
      return ops("c" + module + "\n" + name + "\n");
    }

    Pickle text(String s) {
      byte[] utf8 = s.getBytes(StandardCharsets.UTF_8);
      return op('X').int32(utf8.length).ops(new String(utf8, StandardCharsets.ISO_8859_1));
    }

    Pickle int32(int n) {
      out.writeBytes(ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN).putInt(n).array());
      return this;
    }

    Pickle integer(long n) {
      out.write(0x8a);
      out.write(8);
      out.writeBytes(ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(n).array());
      return this;
    }

    Pickle integers(long... values) {
      op('(');
      for (long v : values) {
        integer(v);
      }
      return op('t');
    }

    /** A storage of type float32 in the entry {@code key}. */
    Pickle storage(String key, long elements) {
      op('(').text("storage").global("torch", "FloatStorage").text(key).text("cpu");
      return integer(elements).ops("tQ");
    }

    /** A tensor over {@link #storage} 0. */
    Pickle tensor(long elements, long offset, long[] sizes, long[] strides) {
      global("torch._utils", "_rebuild_tensor_v2").op('(').storage("0", elements);
      integer(offset).integers(sizes).integers(strides);
      return op(0x89).global("collections", "OrderedDict").ops(")RtR");
    }

    byte[] bytes() {
      return out.toByteArray();
    }
  }
}
