package org.moe4j.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Files that lie: each is one line that names the file and what is wrong. */
class SafetensorsHostileTest {
  @TempDir Path dir;

  private Path file() {
    return dir.resolve("model.safetensors");
  }

  private static void refused(Path path, String... words) {
    assertThatThrownBy(() -> Safetensors.open(path).close())
        .isInstanceOf(MoeException.class)
        .hasMessageContaining(path.getFileName().toString())
        .satisfies(e -> assertThat(e.getMessage()).doesNotContain("\n"))
        .satisfies(e -> assertThat(words).allMatch(w -> e.getMessage().contains(w)));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '\0',
      value = {
        "{'a':{'dtype':'F32','shape':[2],'data_offsets':[0,16]}}|8|does not fill",
        "{'a':{'dtype':'F32','shape':[4],'data_offsets':[0,16]}}|8|tensor a|file is cut",
        "{'a':{'dtype':'F32','shape':[1],'data_offsets':[0,4]}}|8|4 bytes after the last",
        "{'a':{'dtype':'F32','shape':[1],'data_offsets':[4,8]}}|8|tensor a|hole",
        "{'a':{'dtype':'F32','shape':[2],'data_offsets':[0,8]},"
            + "'b':{'dtype':'F32','shape':[2],'data_offsets':[4,12]}}|12|tensor b|overlaps",
        "{'a':{'dtype':'F32','shape':[2],'data_offsets':[0,8]},"
            + "'a':{'dtype':'F32','shape':[2],'data_offsets':[8,16]}}|16|uplicate|a",
        "{'a':{'dtype':'F32','shape':[-1,-2],'data_offsets':[0,8]}}|8|tensor a|shape|negative",
        "{'a':{'dtype':'F32','shape':[2],'data_offsets':[-8,0]}}|8|tensor a|offsets|negative",
        "{'a':{'dtype':'F32','shape':[2],'data_offsets':[8,0]}}|8|tensor a|before its start",
        "{'a':{'dtype':'F32','shape':[4294967296,4294967296,4],'data_offsets':[0,0]}}|0|overflows",
        "{'a':{'dtype':'F32','shape':[0,4294967296,4294967296],'data_offsets':[0,0]}}|0|overflows",
        "{'a':{'dtype':'F32','shape':[99999999999999999999],'data_offsets':[0,0]}}|0|JSON",
        "{'a':{'dtype':'F32','shape':[2.0],'data_offsets':[0,8]}}|8|shape|whole number",
        "{'a':{'dtype':'F32','shape':'x','data_offsets':[0,8]}}|8|shape|array",
        "{'a':{'dtype':'F32','shape':[2],'data_offsets':[0]}}|8|tensor a|two data_offsets",
        "{'a':{'dtype':'F32','shape':[2],'data_offsets':[0,8,9]}}|8|data_offsets|more than 2",
        "{'a':{'dtype':'F32','data_offsets':[0,8]}}|8|tensor a needs",
        "{'a':{'dtype':'Q4','shape':[2],'data_offsets':[0,8]}}|8|tensor a|unknown dtype Q4",
        "{'a':{'dtype':'F32','shape':[2],'data_offsets':[0,8],'x':1}}|8|unknown field x",
        "{'a':7}|0|tensor a must be an object",
        "{'__metadata__':{'k':1}}|0|__metadata__.k must be a string",
        "[]|0|must be an object",
        "{'a|0|JSON",
        "{} {}|0|more text",
        "junk|0|JSON",
        "''|0|must be an object",
      })
  void headersThatLie(String header, int dataBytes, String words) throws IOException {
    refusedHeader(header, dataBytes, words.split("\\|"));
  }

  private void refusedHeader(String header, int dataBytes, String... words) throws IOException {
    refused(SafetensorsFixture.file(file(), header.replace('\'', '"'), dataBytes), words);
  }

  @Test
  void longNamesAndControlCharactersStayOneShortLine() throws IOException {
    String name = "x\\n".repeat(500);
    refusedHeader("{'" + name + "':7}", 0, "x?x?", "...");
  }

  @Test
  void tooManyDimensionsOrTooDeepNesting() throws IOException {
    String ones = "1,".repeat(99) + "1";
    refusedHeader("{'a':{'dtype':'U8','shape':[" + ones + "],'data_offsets':[0,1]}}", 1, "64");
    refusedHeader("{'a':".repeat(100) + "1" + "}".repeat(100), 0, "header");
    refusedHeader("[".repeat(100_000), 0, "header");
  }

  @Test
  void notUtf8() throws IOException {
    byte[] header = "{\"a?\":{}}".getBytes(StandardCharsets.ISO_8859_1);
    header[3] = (byte) 0xE4;
    refused(SafetensorsFixture.file(file(), header, 0), "UTF-8");
    // An overlong form of '/', which lenient decoders accept.
    byte[] overlong = {'{', '"', (byte) 0xC0, (byte) 0xAF, '"', ':', '1', '}'};
    refused(SafetensorsFixture.file(file(), overlong, 0), "UTF-8");
  }

  @Test
  void lengthsThatLie() throws IOException {
    refused(Files.write(file(), new byte[0]), "0 bytes");
    refused(Files.write(file(), new byte[7]), "7 bytes");
    refused(Files.write(file(), SafetensorsFixture.length(1)), "past the file's end");
    refused(Files.write(file(), SafetensorsFixture.length(100_000_001)), "limit");
    refused(Files.write(file(), SafetensorsFixture.length(Long.MAX_VALUE)), "limit");
    refused(Files.write(file(), SafetensorsFixture.length(-1)), "18446744073709551615", "limit");
    // Within the limit, yet more than the file has: refused before anything is allocated.
    refused(Files.write(file(), SafetensorsFixture.length(99_999_999)), "past the file's end");
  }

  @Test
  void everyTruncationIsRefused() throws IOException {
    try (Scope scope = Scope.open()) {
      SafetensorsWriter.writeFile(file(), SafetensorsFixture.items(), Map.of());
    }
    byte[] whole = Files.readAllBytes(file());
    for (int n = 0; n < whole.length; n++) {
      refused(Files.write(file(), Arrays.copyOf(whole, n)));
    }
  }

  @Test
  void aFileThatShrinksWhileOpen() throws IOException {
    Path file = file();
    try (Scope scope = Scope.open()) {
      SafetensorsWriter.writeFile(
          file, List.of(SafetensorsWriter.Item.of("a", Tensor.zeros(100))), Map.of());
      try (Safetensors in = Safetensors.open(file)) {
        Files.write(file, new byte[50]);
        assertThatThrownBy(() -> in.load("a"))
            .isInstanceOf(MoeException.class)
            .hasMessageContainingAll("model.safetensors", "shorter");
      }
    }
  }

  @Test
  void foldersAndMissingFiles() {
    refused(dir.resolve("nothing.safetensors"), "no such file");
    refused(dir, "holds neither");
    assertThatThrownBy(() -> SafetensorsFile.open(dir)).hasMessageContaining("is a folder");
  }

  @Test
  void aFolderInPlaceOfTheFile() throws IOException {
    Files.createDirectory(file());
    refused(file(), "holds neither");
    assertThatThrownBy(() -> Safetensors.open(dir)).hasMessageContaining("is a folder");
  }

  private void index(String json) throws IOException {
    Files.writeString(dir.resolve("model.safetensors.index.json"), json.replace('\'', '"'));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '\0',
      value = {
        "{'weight_map':{'a':'../s.safetensors'}}|own folder",
        "{'weight_map':{'a':'/etc/s.safetensors'}}|own folder",
        "{'weight_map':{'a':'sub/s.safetensors'}}|own folder",
        "{'weight_map':{'a':'..\\\\s.safetensors'}}|own folder",
        "{'weight_map':{'a':'C:s.safetensors'}}|own folder",
        "{'weight_map':{'a':'pytorch_model.bin'}}|own folder",
        "{'weight_map':{'a':'gone.safetensors'}}|shard gone.safetensors is missing",
        "{'weight_map':{'b':'s.safetensors'}}|tensor b is not in its shard s.safetensors",
        "{'weight_map':{'a':'s.safetensors','a':'s.safetensors'}}|uplicate",
        "{'weight_map':{'a':1}}|must be a string",
        "{'weight_map':[]}|must be an object",
        "{'metadata':{}}|weight_map is missing",
        "nonsense|JSON",
      })
  void indicesThatLie(String json, String words) throws IOException {
    SafetensorsFixture.file(
        dir.resolve("s.safetensors"),
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}",
        1);
    index(json);
    assertThatThrownBy(() -> Safetensors.open(dir))
        .isInstanceOf(MoeException.class)
        .hasMessageContainingAll("model.safetensors.index.json", words);
  }

  @Test
  void aGoodIndexWithUnknownFieldsIsRead() throws IOException {
    SafetensorsFixture.file(
        dir.resolve("s.safetensors"),
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}   ",
        1);
    index("{'metadata':{'total_size':1,'x':[{}]},'weight_map':{'a':'s.safetensors'}}");
    try (Safetensors in = Safetensors.open(dir)) {
      assertThat(in.names()).containsExactly("a");
    }
  }
}
