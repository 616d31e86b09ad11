#include <stdio.h>

int main(void)
{
	puts("nmbackupfs " NMB_VERSION);
	return 0;
}
