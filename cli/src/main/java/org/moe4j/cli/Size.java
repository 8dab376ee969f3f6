package org.moe4j.cli;

import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** Reads a number of bytes; k, m and g are powers of ten. */
final class Size implements ITypeConverter<Long> {
  private static final Pattern FORM = Pattern.compile("([1-9]\\d{0,8})([kmg]?)b?");

  @Override
  public Long convert(String value) {
    Matcher m = FORM.matcher(value.toLowerCase(Locale.ROOT));
    if (!m.matches()) {
      throw new TypeConversionException("'" + value + "': use a size such as 500m or 5g");
    }
    long unit =
        switch (m.group(2)) {
          case "k" -> 1_000;
          case "m" -> 1_000_000;
          case "g" -> 1_000_000_000;
          default -> 1;
        };
    return Long.parseLong(m.group(1)) * unit;
  }
}
